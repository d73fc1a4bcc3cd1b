/* password.h - a password from the terminal, unseen, or from a file. */
#ifndef ATTUNE_CMD_PASSWORD_H
#define ATTUNE_CMD_PASSWORD_H

#include <stdbool.h>
#include <stdio.h>

#include "base/secret.h"

#define PASSWORD_BYTES (PASSWORD_CHARS_MAX + 2)

/* Asks on the terminal without echo; twice where `twice`. file: its first line instead; "-":
 * standard input. ST_UNSUPPORTED: there is no terminal; ST_INVALID: the two are not the same. */
enum status password_get(const char *prompt, bool twice, const char *file, char ret[PASSWORD_BYTES],
                         struct error *err);

/* The next line without its end. False: there is none, or it is too long. */
bool password_line(FILE *from, char *ret, size_t size_bytes);

#endif
