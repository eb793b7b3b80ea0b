"""Laptops, relays and servers in one process, with seeded faults: a machine that tries to disprove the promises.

computers   installations: a SQLite file, keys and a clock each
network     the road between them: it loses, repeats, delays, cuts and lies
kills       a process that ends at a failpoint
values      rows of any study's models, made from the types of their fields
writing     how a study writes: save, bulk, update, delete, many-to-many, units
world       the steps that a run is made of, and healing
truth       what the laptops' users saw: the plain Python account that everything is compared with
fold        the log, folded by plain Python
checks      what must hold in the end
machine     Hypothesis' rules; runs: many of them; report: what a study files
"""
