"""Feature validity: does a node that is named after a concept really represent it?

The node is replaced by labels of the concept, which a program decides, to see whether the model still works.
"""
