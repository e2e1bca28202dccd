"""This process: jobs are its children, their states and logs are its objects, and all of it ends with it.

For tests of programs that submit jobs, and the shortest complete reading of the contract.
"""
