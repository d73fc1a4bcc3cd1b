/* The class map's YAML: any bytes give a map whose every entry is usable, or an error with a place.
 */
#include <assert.h>
#include <string.h>

#include "task/task.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct class_map m;
    struct error err;
    if (class_map_read(data, n, "fuzz", &m, &err) != ST_OK) {
        assert(memchr(err.message, '\0', sizeof err.message));
        return 0;
    }
    assert(m.label_count >= 2 && m.label_count <= CLASSES_MAX);
    assert(m.network_count >= 2 && m.network_count <= CLASSES_MAX);
    for (int k = 0; k < m.network_count; k++)
        assert(m.to_label[k] < m.label_count || m.to_label[k] == LABEL_IGNORE);
    return 0;
}
