/* enroll.c - `attune camera enroll`: makes this machine a camera of a server. */
#include "cmd/enroll.h"

#include <stdio.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/password.h"
#include "uplink/enroll.h"

#define NAME "camera enroll"

static const char help_text[] =
    "usage: attune camera enroll --server URL --code CODE [--id NAME] [--state DIR]\n"
    "\n"
    "Makes this machine a camera of a server, once. The code comes from there:\n"
    "attune access code NAME --state DIR; it is good for 15 minutes and once. It also says which\n"
    "server that is: where another one answers nothing is sent to it. From then on\n"
    "attune camera --state DIR knows the server, its key and this camera's token by itself.\n"
    "\n"
    "  --server URL   https://HOST:PORT\n"
    "  --code CODE    as attune access code printed it; - reads it from standard input\n"
    "  --id NAME      refuse a code that is for another camera\n"
    "  --state DIR    the camera's folder (default: attune-camera-state)\n";

int cmd_camera_enroll(int argc, char **argv)
{
    const char *server = NULL, *text = NULL, *id = NULL, *state = "attune-camera-state";
    const struct cmd_option options[] = {{"server", CMD_TEXT, &server, 0, 0},
                                         {"code", CMD_TEXT, &text, 0, 0},
                                         {"id", CMD_TEXT, &id, 0, 0},
                                         {"state", CMD_TEXT, &state, 0, 0},
                                         {NULL, 0, NULL, 0, 0}};
    char line[256];
    struct code code;
    struct identity identity;
    struct error err = {0};
    int bad = cmd_parse(NAME, help_text, options, argc, argv, NULL, 0, 0, NULL);
    if (bad != -1)
        return bad;
    if (!server || !text)
        return cmd_usage(NAME, "--server and --code are needed");
    if (strcmp(text, "-") == 0)
        text = password_line(stdin, line, sizeof line) ? line : "";
    enum status st = code_read(text, &code, &err);
    if (st == ST_OK)
        st = enroll(server, &code, id, &identity, &err);
    if (st == ST_OK)
        st = identity_save(state, &identity, &err);
    if (st != ST_OK)
        return cmd_fail(NAME, &err);
    printf("this is camera '%s' of %s now; run: attune camera --state %s --source URL --student "
           "FILE\n",
           identity.camera, identity.server, state);
    return CMD_OK;
}
