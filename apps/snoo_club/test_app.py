from showground.testing.playground import Playground
from showground.testing.viewer import Viewer


async def test_whoever_comes_meets_those_who_are_there_by_name(playground: Playground) -> None:
    app = await playground.install()
    post = app.post_of(await app.menu("New Snoo club"))
    async with post.viewer("Ada") as ada:
        await ada.sees("1 here")
        async with post.viewer("Grace") as grace, post.viewer() as stranger:
            for viewer in (ada, grace, stranger):
                await viewer.sees("3 here")
                await viewer.sees("Ada")
                await viewer.sees("Grace")
                await viewer.sees("guest ")


async def test_a_step_is_seen_by_everybody(playground: Playground) -> None:
    app = await playground.install()
    post = await app.post()
    async with post.viewer("Ada") as ada, post.viewer("Grace") as grace:
        await ada.sees("2 here")
        await grace.sees("2 here")
        for _ in range(30):  # to the corner, wherever she began
            await ada.press("Walk left")
            await ada.press("Walk up")
        await grace.until(lambda: place_of(grace, "Ada") == ("0%", "0px"), "Ada in the corner")
        await ada.press("Walk right")
        await ada.press("Walk down")
        await grace.until(lambda: place_of(grace, "Ada") == ("4%", "36px"), "Ada one step from the corner")
        assert place_of(ada, "Ada") == ("4%", "36px")


async def test_a_member_with_two_windows_is_one_figure(playground: Playground) -> None:
    app = await playground.install()
    post = await app.post()
    async with post.viewer("Ada") as window, post.viewer("Ada") as other, post.viewer("Grace") as grace:
        await grace.sees("2 here")
        await window.sees("2 here")
        await other.sees("2 here")
        for _ in range(30):
            await window.press("Walk left")
        await other.until(lambda: place_of(other, "Ada")[0] == "0%", "the step of the other window")


def place_of(viewer: Viewer, name: str) -> tuple[str, str]:
    """Where the figure called *name* stands: the sizes of the room left of it and above it."""
    for _, attributes, *children in viewer.nodes():
        if not str(attributes.get("k", "")).startswith(("t2_", "guest-")):
            continue
        above, row = children[0]
        left, person = row[2]
        if name in str(person):
            return left[1].get("width", "0%"), above[1].get("height", "0px")
    return "", ""
