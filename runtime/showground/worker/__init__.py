"""The app's side of the worker protocol: what runs in the zygote and in the processes that it forks."""
