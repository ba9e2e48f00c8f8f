"""Critics that hear music through noise, and by which a model is taught to be heard as asked.

Guidance amplifies what a model itself knows of a style, and that is learnt slowly: it has to draw
all of the music. A classifier of noisy images learns what tells styles apart in minutes, and
could lead every step of the sampler ("Diffusion Models Beat GANs on Image Synthesis", Dhariwal
and Nichol, 2021). Here it leads the training instead: what the model draws of what it is asked,
guided as it will be and noisy again as the sampler's next step will be, is to be heard as that.
Playing costs nothing more. With the judges the critics share the loop of the training and the form
of their files, neither the networks nor what they hear.
"""
