"""Images from files: ImageNet32, CIFAR, idx files and arrays of your own, read from a memory map as training goes.

    x = (image - m) / s
    m: the mean image (`center: image`), the mean mu_c of the image's class (`class`) or 0 (`none`)
    s: 255 (`scale: pixel`), the standard deviation of all centred training inputs (`deviation`) or 1 (`none`)

    x = mu' + sqrt(1 - b) (image' - mu') + sqrt(b) (clone' - mu')        ' : after (. - m) / s;  mu = mu_c

mu_c is the mean of all training images of class c, also where held-out images are blended. Images stay in the
type of the file (uint8) until they are in a batch, in memory that all processes of a machine share; a GPU has a copy of
its own, of that type too, or is sent the rows of some steps where that would not fit (`mapped`).

The Gaussian clone is a data set of its own, as ImageNet32-GP is: one clone per training image with the label
of that image, and one per held-out image, both drawn from the Gaussian (`impray.data.blend`) of up to
`clone_images` training images, which `draw` chooses at random among those of the classes kept. It is made once
per machine, beside the converted files, and not cut off at 0 and 255.

At b = 1 a class has the mean mu_f and the covariance of its n_f fitted images, as in the paper. In between its mean
is mu_c + sqrt(b) (mu_f - mu_c), off mu_c by some sqrt(b / n_f) standard deviations, and its covariance (1 - b) times
that of all its images plus b times that of the fitted ones; with `clone_images: null` both stay as they are. With
`clone: channel` the clone has no covariance between channels, so that of x is (1 - b) times the images'. Where n_f is
at most the number of inputs (of a channel), clones lie in n_f - 1 dimensions.

The file holds (clone - mu_c) / u as float16, u_i being the power of two next to input i's standard deviation within
classes. Rounding is unbiased and at most 2^-11 of each value (2^-25 u at least): it adds less than 2^-22 E[(clone -
mu_c)^2] to each variance and nothing to covariances; dimensions that the clone does not span hold that alone.

Batches are drawn with replacement: a lineage's seed chooses the order, from all images of the classes kept, so
classes are as frequent as in the files. Stream: `order`.

Source: Redman, Wang, Ingrosso & Goldt (2025), ImageNet32 and ImageNet32-GP; the blend is ours.
Limits: a machine whose free memory is less than the files (ImageNet32 3.9 GB, its clone 7.9 GB more) reads from disk
in every step. Sums of squares are uncentred: with `scale: deviation`, float inputs whose offset is a million times
their spread have 4 good digits of s. Clones of one spec differ in the last bits between kinds of processor.
Blind spot: the Gaussian of few images is theirs, not their class's. At ImageNet32-GP's some 100 images per class for 1,024
pixels its covariance has few and too large eigenvalues, so a difference between images and clone need not come from
higher cumulants alone; and held-out clones share with the training clones what is peculiar to the fitted images, so
that accuracy rises with b even where the images have nothing to learn.
"""

from __future__ import annotations

from impray.data.images.batches import ImagesPack
from impray.data.images.clones import Clones, clone_table
from impray.data.images.samples import draw_samples, each_class, held_out

__all__ = ["Clones", "ImagesPack", "clone_table", "draw_samples", "each_class", "held_out"]
