"""Code that all networks share: their weight files, threads and precision.

weights    networks read from and written to folders of safetensors
threads    threads that share the cores between two computations
precision  whether bfloat16 is faster than float32
"""
