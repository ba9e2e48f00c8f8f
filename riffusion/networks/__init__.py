"""Code that all networks share: their weight files, threads and precision.

weights    networks read from and written to folders of safetensors
low_rank   small changes of a network's weights, kept beside them
int8       linear layers whose products are in 8 bits
threads    threads that share the cores between two computations
precision  whether bfloat16 is faster than float32
"""
