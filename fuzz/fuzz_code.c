/* Enrolment codes and tokens of any bytes. A code that is taken has both of its parts. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/secret.h"
#include "uplink/code.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct code c;
    struct error err;
    char *text = malloc(n + 1);
    if (!text)
        return 0;
    memcpy(text, data, n);
    text[n] = '\0';
    if (code_read(text, &c, &err) == ST_OK)
        assert(strlen(c.secret) == CODE_SECRET_CHARS && strlen(c.pin) == CODE_PIN_CHARS);
    else
        assert(err.message[0]);
    if (secret_token_valid(text))
        assert(strlen(text) == SECRET_TOKEN_CHARS);
    free(text);
    return 0;
}
