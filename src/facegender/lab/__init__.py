"""For the laboratory: data sets, networks, training, measurements and the paper.

Nothing that runs imports it, except the verbs of the command line that need it.
"""
