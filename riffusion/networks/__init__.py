"""What all networks share: their weight files, and the processor's cores.

weights  a network from and to its folder of safetensors
threads  threads that share the cores between two computations
"""
