from showground.testing.playground import Playground


async def test_posts_are_counted_once_however_often_their_event_comes(playground: Playground) -> None:
    app = await playground.install()
    assert await app.emit("PostCreate", {"post": {"id": "t3_1", "title": "One"}}) == 1
    assert await app.emit("PostCreate", {"post": {"id": "t3_2", "title": "Two"}}) == 2
    assert await app.emit("PostCreate", {"post": {"id": "t3_1", "title": "One"}}) == 2
    assert await app.redis.smembers("posts") == {"t3_1", "t3_2"}


async def test_a_deleted_post_no_longer_counts(playground: Playground) -> None:
    app = await playground.install()
    await app.emit("PostCreate", {"post": {"id": "t3_1", "title": "One"}})
    assert await app.emit("PostDelete", {"postId": "t3_1"}) == 0


async def test_anybody_may_ask_how_many_there_are(playground: Playground) -> None:
    app = await playground.install()
    await app.emit("PostCreate", {"post": {"id": "t3_1", "title": "One"}})
    answer = await app.menu("How many posts?", as_="Ada")
    assert answer.toasts == ["1 posts so far"]
