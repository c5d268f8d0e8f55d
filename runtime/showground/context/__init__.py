"""The context object, and one client for each capability, as an app sees them."""
