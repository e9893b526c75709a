"""Read the images, check them, and keep them as arrays that the other stages memory-map."""

from pipeline import artifacts, datasets, layout
from pipeline.params import Params


def main(params: Params) -> None:
    """Write data/prepared and a summary of what was found."""
    dataset = datasets.read(params.prepare, params.seed)
    summary = datasets.summary(dataset)

    datasets.save(dataset, layout.PREPARED)
    artifacts.write_metrics(layout.metrics("prepare"), summary)
    print(
        f"{summary['train_images']} training and {summary['test_images']} test images of "
        f"{dataset.side} x {dataset.side} pixels in {len(dataset.classes)} classes"
    )
