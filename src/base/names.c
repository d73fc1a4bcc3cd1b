#include "base/names.h"

#include <string.h>

int names_find(const char *const *names, size_t count, const char *name, int otherwise)
{
    for (size_t i = 0; name && i < count; i++)
        if (names[i] && strcmp(name, names[i]) == 0)
            return (int)i;
    return otherwise;
}

const char *names_text(const char *const *names, size_t count, size_t i, const char *otherwise)
{
    return i < count && names[i] ? names[i] : otherwise;
}
