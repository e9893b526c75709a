"""Read the images, check them, and keep them as arrays that the other stages memory-map."""

from pipeline.data.files.sources import Sources as Params
from pipeline.outs import artifacts, paths
from pipeline.params import PipelineParams


def main(params: PipelineParams, section: Params) -> None:
    """Write data/prepared and a summary of what was found."""
    from pipeline.data import datasets
    from pipeline.data.files import preparation

    notes: list[str] = []
    dataset = preparation.read(section, params.seed, notes.append)
    summary = preparation.summary(dataset)

    datasets.save(dataset, paths.PREPARED)
    artifacts.write_metrics(paths.metrics("prepare"), summary)
    print(*notes, sep="\n", end="\n" if notes else "")
    print(
        f"{summary['train_images']} training and {summary['test_images']} test images of "
        f"{dataset.side} x {dataset.side} pixels in {len(dataset.classes)} classes"
    )
