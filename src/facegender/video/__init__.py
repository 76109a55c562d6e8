"""From films to tracks: sampled frames, the faces in them, and one calibrated answer for each face that is followed."""
