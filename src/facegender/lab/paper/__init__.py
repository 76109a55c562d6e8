"""The published numbers of the paper, to stand beside ours."""
