"""Image sets: load them, and plant duplicates and outliers whose truth is known.

``load`` reads cifar10, cifar100, fairface, a folder of images or parquet files of them, or draws the controlled set;
``available`` says which sets are there, and ``layout`` what a folder is taken for; ``plant`` adds copies and outliers;
``image_statistics`` measures images without any encoder. The images travel as an `ImageSet`; a `Collection` says where
they come from.
"""

from influence_lib.data.collection import Collection
from influence_lib.data.imageset import ImageSet
from influence_lib.data.loading import available, layout, load
from influence_lib.data.planting import plant
from influence_lib.data.statistics import image_statistics

__all__ = ["Collection", "ImageSet", "available", "image_statistics", "layout", "load", "plant"]
