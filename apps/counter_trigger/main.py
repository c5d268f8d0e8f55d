"""Counts posts.

Events come at least once, so a handler may run twice for one post. Adding the post's id to a set is the same done once or
twice; adding one to a number is not.
"""

from showground import Context, Devvit, Event

Devvit.configure(redis=True)


@Devvit.add_trigger("PostCreate")
async def count_post(event: Event, context: Context) -> int:
    await context.redis.sadd("posts", event.post.id)
    return await context.redis.scard("posts")


@Devvit.add_trigger("PostDelete")
async def forget_post(event: Event, context: Context) -> int:
    await context.redis.srem("posts", event.post_id)
    return await context.redis.scard("posts")


@Devvit.add_menu_item("How many posts?", "subreddit")
async def say_how_many(event: Event, context: Context) -> None:
    context.ui.show_toast(f"{await context.redis.scard('posts')} posts so far")
