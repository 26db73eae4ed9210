"""What the story carries from step to step; each step sets what later ones look at."""

from collections.abc import Callable, Mapping
from pathlib import Path

from consent_service.cli.demonstration.clinic import Clinic, Family
from consent_service.services.consent import ConsentActView
from consent_service.services.recordings import AssetView
from consent_service.services.withdrawal import PreviewView, WithdrawalView

Evidence = dict[str, object]


class Scene:
    """The installation of the story and its first family, filled in as it is told."""

    clinic: Clinic
    family: Family
    upload: bytes
    act: ConsentActView
    film: AssetView
    clip: AssetView
    still: AssetView
    stolen: Path
    records_before: Mapping[str, str]
    preview: PreviewView
    withdrawal: WithdrawalView
    certificates: Path
    public_keys: Path

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.outside = folder / "outside"
        self.outside.mkdir()


Act = Callable[[Scene], Evidence]
