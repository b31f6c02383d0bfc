"""Feature validity: is the node that is called a concept's really that concept's?

Put labels of the concept, decided by a program, into the node's place and see whether the model still works.
"""
