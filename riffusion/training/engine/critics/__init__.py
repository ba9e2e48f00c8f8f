"""Critics: networks that recognise style, beat and chords in noisy images, and a loss by them.

A model learns to draw a style slowly, since it has to draw all of the music. A classifier of noisy
images learns what tells styles apart in minutes, and could guide every step of the sampler
("Diffusion Models Beat GANs on Image Synthesis", Dhariwal and Nichol, 2021). Here it guides the
training instead: what the model generates for a prompt, with guidance and then with noise as the
next step of the sampler has, must be recognised as that prompt. Playing costs nothing more. The
critics share the training loop and the file format with the judges of the evaluation, but neither
networks nor inputs.

    style            the critic of style and lead instrument
    lead_sheet       the critic of beat and chords
    critic_training  noise levels, time conditioning and training of critics
    loading          trained critics on disk
    loss             the loss of a model by its critics
"""
