"""Slides of the server's folders, as tiles; the page Microscope shows them with these routes."""

from functools import partial
from typing import Annotated

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, FastAPI, Path, Query, Request, Response
from starlette.staticfiles import StaticFiles
from xstatic.pkg import leaflet

from core.api.deps import OwnerDep, PageRoute, Services, ServicesDep
from core.api.schemas import SlideAnswer, SlideCountAnswer, SlideInfoAnswer, SlideTilesAnswer
from core.slides.counting import SlideCount
from core.slides.current import get_count, get_folders, get_views
from core.slides.quality import grades
from core.slides.tiles import TILE

VIEWER = "/viewer"
_SECONDS = 300
"""How long a browser shows a tile without asking again; after a sign-out too."""
_CLIENT_LEFT = 499
_JPEG = {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}

router = APIRouter(tags=["slides"], route_class=PageRoute)
_readers = CapacityLimiter(4)
"""Tiles that are read at a time: a few more than cores, for the others wait for the disk."""

SlideId = Annotated[str, Path(max_length=64, description="From `GET /slides`")]
Plane = Annotated[
    int | None,
    Query(ge=1, le=1000, description="Focal plane, from 1 nearest to the glass; else the middle"),
]


@router.get("/slides")
def slides(services: ServicesDep, owner: OwnerDep) -> list[SlideAnswer]:
    """List the slides in the server's slide folders, and those that the caller uploaded."""
    found = get_folders(services.settings, owner).slides().values()
    return [SlideAnswer(id=slide.id, name=slide.name) for slide in found]


@router.get("/slides/{slide_id}")
def slide_info(
    services: ServicesDep, owner: OwnerDep, slide_id: SlideId, plane: Plane = None
) -> SlideInfoAnswer:
    """Describe a slide. The first time this may take long: a slide without small levels is copied.

    So is each focal plane of a slide with several: ask for its description before its tiles.

    Text of the slide's header is not answered.
    """
    slide = get_folders(services.settings, owner).get(slide_id)
    view = get_views(services.settings).view(slide, plane)
    return SlideInfoAnswer(
        id=slide.id,
        name=slide.name,
        width=view.width,
        height=view.height,
        micrometres_per_pixel=view.micrometres_per_pixel,
        tile_size=TILE,
        last_zoom=view.last_zoom,
        version=slide.version,
        planes=view.planes.number,
        middle_plane=view.planes.middle,
        plane_step=view.planes.step,
    )


@router.get("/slides/{slide_id}/count")
def slide_count(services: ServicesDep, owner: OwnerDep, slide_id: SlideId) -> SlideCountAnswer:
    """Return the white cells that the count of a slide has found so far; none without a count."""
    count = _count(services, owner, slide_id)
    if count is None:
        return SlideCountAnswer(version="", types=[], cells=[], numbers=[])
    analysis = count.analysis()
    known: dict[tuple[str, str], int] = {}
    cells, numbers = [], []
    for number, cell in analysis.white_cells():
        name = cell.type_name if cell.status != "out_of_scope" else "Not counted"
        kind = known.setdefault((name.partition(",")[0], cell.colour), len(known))
        x, y, width, height = (round(side) for side in cell.box.xywh)
        is_counted = int(cell.counted_as is not None)
        is_poor = int(cell.poor_area is not None)
        cells.append((x, y, width, height, kind, is_counted, is_poor))
        numbers.append(number)
    return SlideCountAnswer(version=count.version, types=list(known), cells=cells, numbers=numbers)


@router.get("/slides/{slide_id}/count/tiles")
def slide_count_tiles(
    services: ServicesDep, owner: OwnerDep, slide_id: SlideId
) -> SlideTilesAnswer:
    """Return what the count of a slide did with each tile, and its quality; none without a count.

    A slide of 10⁹ pixels has some 30,000 tiles: ask for them only to draw them.
    """
    count = _count(services, owner, slide_id)
    if count is None:
        return SlideTilesAnswer(version="", tiles=[], quality=[])
    tiles = zip(count.areas, count.states(), strict=True)
    usual = count.usual_stain()
    return SlideTilesAnswer(
        version=count.version,
        tiles=[(*tile.interior, state) for tile, state in tiles],
        quality=[grades(one, usual) if one else ("", "", "") for one in count.qualities()],
    )


def _count(services: Services, owner: str | None, slide_id: str) -> SlideCount | None:
    slide = get_folders(services.settings, owner).get(slide_id)
    view = get_views(services.settings).view(slide)
    return get_count(slide, view, services.database, services.analyzer)


@router.get(
    "/slides/{slide_id}/tiles/{zoom}/{column}_{row}.jpg",
    response_class=Response,
    responses={200: _JPEG, 304: {"description": "The client has this tile"}},
)
async def tile(  # noqa: PLR0913, PLR0917 - the parts of the address
    request: Request,
    services: ServicesDep,
    owner: OwnerDep,
    slide_id: SlideId,
    zoom: Annotated[int, Path(ge=0, le=40)],
    column: Annotated[int, Path(ge=0, le=2**24)],
    row: Annotated[int, Path(ge=0, le=2**24)],
    *,
    light: Annotated[bool, Query(description="On even, nearly white glass")] = False,
    plane: Plane = None,
) -> Response:
    """Return a tile as JPEG; those at the right and lower edge are smaller.

    Zoom 0 is the whole slide in one tile. Nothing is read for a client that has left.
    """
    slide = await to_thread.run_sync(get_folders(services.settings, owner).get, slide_id)
    headers = {
        "ETag": f'"{slide.id}-{slide.version}-{zoom}-{column}-{row}-{light:d}-{plane or 0}"',
        "Cache-Control": f"private, max-age={_SECONDS}",
        "Vary": "Authorization, Cookie",
    }
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    views = get_views(services.settings)
    async with _readers:
        if await request.is_disconnected():
            return Response(status_code=_CLIENT_LEFT)
        content = await to_thread.run_sync(
            partial(views.jpeg, slide, zoom, column, row, light=light, plane=plane)
        )
    return Response(content, headers=headers, media_type="image/jpeg")


class _ViewerFiles(StaticFiles):
    """The files of the viewer; they change with the version of the program only."""

    def file_response(self, *args: object, **options: object) -> Response:
        """Return a file that browsers keep."""
        response = super().file_response(*args, **options)  # type: ignore[arg-type]
        response.headers["Cache-Control"] = "public, max-age=86400"
        return response


def add_viewer(app: FastAPI) -> None:
    """Serve Leaflet, which shows the tiles, from its package: the pages ask no other server."""
    app.mount(VIEWER, _ViewerFiles(directory=leaflet.BASE_DIR))
