"""context.redis is Redis, over the app's own keys in one community. Nobody else sees them."""

from tests.fundamentals.conftest import Bundle

from showground.testing.playground import Playground

CODE = """
    from showground import Devvit

    Devvit.configure(redis=True)

    @Devvit.add_trigger("PostCreate")
    async def rank(event, context):
        await context.redis.zincrby("authors", 1, event.author.name)
        await context.redis.hset("last", mapping={"title": event.post.title, "by": event.author.name})
        return await context.redis.zrange("authors", 0, -1, desc=True, withscores=True)
"""


def post(author: str) -> dict[str, object]:
    return {"post": {"id": "t3_1", "title": f"By {author}"}, "author": {"name": author}}


async def test_strings_hashes_and_sorted_sets_are_redis_own(bundle: Bundle, playground: Playground) -> None:
    """Method names are those of redis-py; strings go in, strings come out."""
    app = await playground.install(bundle("ranks", CODE))
    for author in ("ada", "bob", "ada"):
        ranking = await app.emit("PostCreate", post(author))
    assert ranking == [["ada", 2.0], ["bob", 1.0]]
    assert await app.redis.hgetall("last") == {"title": "By ada", "by": "ada"}


async def test_apps_do_not_see_each_others_keys(bundle: Bundle, playground: Playground) -> None:
    """The same name is another key in each installation."""
    one = await playground.install(bundle("one", CODE))
    two = await playground.install(bundle("two", CODE))
    await one.redis.set("secret", "of one")
    assert await two.redis.get("secret") is None
