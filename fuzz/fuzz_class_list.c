/* The class list's CSV: any bytes give a list whose every entry is usable, or an error with a
 * place. */
#include <assert.h>
#include <string.h>

#include "task/class_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct class_list l;
    struct error err;
    if (class_list_parse(data, n, "fuzz", "dir", &l, &err) != ST_OK) {
        assert(memcmp(err.message, "fuzz", 4) == 0 || strncmp(err.message, "no memory", 9) == 0);
        return 0;
    }
    assert(l.class_count >= 2 && l.class_count <= CLASSES_MAX);
    for (size_t i = 0; i < l.count; i++)
        assert(l.classes[i] < l.class_count && strncmp(l.paths[i], "dir/", 4) == 0);
    for (int k = 1; k < l.class_count; k++)
        assert(strcmp(l.class_name[k - 1], l.class_name[k]) != 0);
    class_list_clear(&l);
    return 0;
}
