"""A local page on which people label faces of a collection, without seeing what the network said.

A random draw of the faces that help most, stratified by score and quality (`draw`); answers that are on disk at every
key (`session`); how narrow the interval has become (`precision`); pictures (`pictures`); and a server on loopback
(`site`). Needs the extra ``survey``.
"""
