"""``-s slurm``: jobs on a Slurm cluster.

`request` says what is asked for and `script` writes it as one sbatch script, whose constant parts are in `shell`; all
three are pure. `client` is the only file that runs Slurm's commands. A job's folder below the job root, on a file
system that all nodes see, holds what its script did: exit codes, attempts, output. So an ended job is answered for
without accounting, and a running one with one command for any number of jobs.
"""
