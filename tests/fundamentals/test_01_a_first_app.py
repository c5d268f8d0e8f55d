"""An app is a folder with an app.json and a main.py. Upload it, install it into a community, and it hears what happens there."""

from tests.fundamentals.conftest import Bundle

from showground.testing.playground import Playground


async def test_a_bundle_is_a_folder_that_is_installed_into_a_community(bundle: Bundle, playground: Playground) -> None:
    """The smallest app there is: it answers each new post."""
    folder = bundle(
        "hello",
        """
        from showground import Devvit

        @Devvit.add_trigger("PostCreate")
        def greet(event, context):
            return f"{event.author.name} posted {event.post.title!r} in {context.community}"
        """,
    )
    assert sorted(path.name for path in folder.iterdir()) == ["app.json", "main.py"]

    app = await playground.install(folder)

    answer = await app.emit("PostCreate", {"post": {"id": "t3_1", "title": "Hi"}, "author": {"name": "ada"}})
    assert answer == "ada posted 'Hi' in playground"


async def test_an_app_hears_of_its_own_installation_first(bundle: Bundle, playground: Playground) -> None:
    """AppInstall is the place for what an app needs once: a first job, a first value."""
    app = await playground.install(
        bundle(
            "prepared",
            """
            from showground import Devvit

            Devvit.configure(redis=True)

            @Devvit.add_trigger("AppInstall")
            async def prepare(event, context):
                await context.redis.set("motto", "ready when you are")
            """,
        )
    )
    assert await app.redis.get("motto") == "ready when you are"
