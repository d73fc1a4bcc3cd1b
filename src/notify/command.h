/* command.h - what somebody asks for on a topic that ends in /set.
 *
 *   PREFIX/CAMERA/learning/set   ON or OFF (also true, false, 1, 0; letters of any case)
 *   PREFIX/CAMERA/retrain/set    anything that is no OFF: the button of Home Assistant says PRESS
 *   PREFIX/CAMERA/model/set      a version to go back to
 */
#ifndef ATTUNE_NOTIFY_COMMAND_H
#define ATTUNE_NOTIFY_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "flow/records.h"

enum command_kind { COMMAND_LEARNING = 1, COMMAND_RETRAIN, COMMAND_MODEL };

struct command {
    enum command_kind kind;
    char camera[CAMERA_ID_CHARS_MAX + 1]; /* [a-z0-9_-], whether there is such a camera or not */
    bool on;                              /* LEARNING */
    uint64_t version;                     /* MODEL */
};

/* ST_FORMAT says what is wrong, in printable ASCII. */
enum status command_read(const char *prefix, const char *topic, const void *payload, size_t n,
                         struct command *ret, struct error *err);

#endif
