"""A cluster behind a batch scheduler: what it has, what a job of it needs, and what becomes of jobs.

Everything is asked of Slurm's own commands; nothing here places, queues or transports anything itself.
"""
