"""The calculation core: what this project knows about fine-tuning, as pure functions and frozen documents.

Nothing here reads files, the clock, the network or a GPU, and nothing imports more than the standard library and
pydantic. One module answers one question:

    errors        what goes wrong for a person, as one sentence with its place
    plan          the document that decides a training
    hardware      what a machine is, as found or as simulated
    architecture  what a model is made of, and how many parameters that is
    dataset       what the calculation needs to know of a dataset
    memory/       how many bytes a training step needs, part by part
    schedule      how many steps, and the learning rate at each
    recommend/    which value for each field, and why
    proposal      all of it together: situation + choices in, plan with reasons out
"""
