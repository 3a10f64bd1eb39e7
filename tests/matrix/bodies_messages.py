"""Requests for test_callers.py: of the rpcs of messages and direct channels. What they name is not there, people aside."""


def somebody(scene):
    return scene.api.register()["user"]["id"]


BODIES = {
    "SendMessage": lambda s: {"content": "matrix"},
    "EditMessage": lambda s: {"content": "matrix"},
    "BulkDeleteMessages": lambda s: {"messages": ["1", "2"]},
    "OpenDm": lambda s: {},
}
VARIABLES = {
    "channel_id": lambda s: "1",
    "message_id": lambda s: "1",
    "emoji": lambda s: "x",
    "secret": lambda s: "nobodys",
    "AddRecipient.user_id": somebody,
    "RemoveRecipient.user_id": somebody,
    "BlockUser.user_id": somebody,
    "UnblockUser.user_id": somebody,
}
