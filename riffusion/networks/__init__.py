"""Code that all networks share: their weight files, and threads that share processor cores.

weights  networks read from and written to folders of safetensors
threads  threads that share the cores between two computations
"""
