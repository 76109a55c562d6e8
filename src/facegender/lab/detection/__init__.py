"""How the face detector is taught, trained and measured; finding faces in photos is `facegender.inference.detector`."""
