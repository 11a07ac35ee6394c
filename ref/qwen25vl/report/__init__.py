"""What `qwen25vl show` says, as data: of a picture, a video, a checkpoint, a golden."""
