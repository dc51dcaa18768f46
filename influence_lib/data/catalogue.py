"""What is known beforehand about the published sets: their columns, classes, splits and where they live."""

from dataclasses import dataclass
from typing import Any

import torchvision

__all__ = ["CIFAR100_COARSE_LABELS", "PUBLISHED", "PublishedSet"]

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

CIFAR100_CLASSES = (
    "apple", "aquarium_fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle",
    "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle",
    "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup",
    "dinosaur", "dolphin", "elephant", "flatfish", "forest", "fox", "girl", "hamster", "house",
    "kangaroo", "keyboard", "lamp", "lawn_mower", "leopard", "lion", "lizard", "lobster", "man",
    "maple_tree", "motorcycle", "mountain", "mouse", "mushroom", "oak_tree", "orange", "orchid",
    "otter", "palm_tree", "pear", "pickup_truck", "pine_tree", "plain", "plate", "poppy", "porcupine",
    "possum", "rabbit", "raccoon", "ray", "road", "rocket", "rose", "sea", "seal", "shark", "shrew",
    "skunk", "skyscraper", "snail", "snake", "spider", "squirrel", "streetcar", "sunflower",
    "sweet_pepper", "table", "tank", "telephone", "television", "tiger", "tractor", "train", "trout",
    "tulip", "turtle", "wardrobe", "whale", "willow_tree", "wolf", "woman", "worm",
)  # fmt: skip

CIFAR100_COARSE_CLASSES = (
    "aquatic_mammals", "fish", "flowers", "food_containers", "fruit_and_vegetables",
    "household_electrical_devices", "household_furniture", "insects", "large_carnivores",
    "large_man-made_outdoor_things", "large_natural_outdoor_scenes", "large_omnivores_and_herbivores",
    "medium_mammals", "non-insect_invertebrates", "people", "reptiles", "small_mammals", "trees",
    "vehicles_1", "vehicles_2",
)  # fmt: skip

CIFAR100_COARSE_LABELS = (
    4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11,
    6, 11, 5, 10, 7, 6, 13, 15, 3, 15, 0, 11, 1, 10, 12, 14, 16, 9, 11, 5,
    5, 19, 8, 8, 15, 13, 14, 17, 18, 10, 16, 4, 17, 4, 2, 0, 17, 4, 18, 17,
    10, 3, 2, 12, 12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16, 12, 9, 13, 15, 13,
    16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15, 6, 0, 17, 8, 14, 13,
)  # fmt: skip
"""Coarse label of each of the 100 fine labels, in the order of `CIFAR100_CLASSES`."""

FAIRFACE_RACES = (
    "East Asian",
    "Indian",
    "Black",
    "White",
    "Middle Eastern",
    "Latino_Hispanic",
    "Southeast Asian",
)
FAIRFACE_AGES = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "more than 70")


@dataclass(frozen=True)
class PublishedSet:
    """One set in the parquet layout of the Hugging Face hub.

    Attributes
    ----------
    repository : str
        Dataset repository on the hub.
    folder : str
        Folder of the repository that holds the files.
    splits : dict of str to tuple of str
        Our name of a split → the names it has in file names.
    image, label : str
        Columns of the image and of the label.
    names : dict of str to tuple of str
        Column of class indices → names of its classes, the label's column among them.
    others : tuple of str
        Columns copied into the attributes where a file has them.
    torchvision : class or None
        torchvision's class for the same set.
    """

    repository: str
    folder: str
    splits: dict[str, tuple[str, ...]]
    image: str
    label: str
    names: dict[str, tuple[str, ...]]
    others: tuple[str, ...] = ()
    torchvision: Any = None


PUBLISHED = {
    "cifar10": PublishedSet(
        repository="uoft-cs/cifar10",
        folder="plain_text",
        splits={"train": ("train",), "test": ("test",)},
        image="img",
        label="label",
        names={"label": CIFAR10_CLASSES},
        torchvision=torchvision.datasets.CIFAR10,
    ),
    "cifar100": PublishedSet(
        repository="uoft-cs/cifar100",
        folder="cifar100",
        splits={"train": ("train",), "test": ("test",)},
        image="img",
        label="fine_label",
        names={"fine_label": CIFAR100_CLASSES, "coarse_label": CIFAR100_COARSE_CLASSES},
        torchvision=torchvision.datasets.CIFAR100,
    ),
    "fairface": PublishedSet(
        repository="HuggingFaceM4/FairFace",
        folder="0.25",
        splits={"train": ("train",), "val": ("val", "validation")},
        image="image",
        label="race",
        names={"race": FAIRFACE_RACES, "age": FAIRFACE_AGES, "gender": ("Male", "Female")},
        others=("service_test", "file"),
    ),
}
