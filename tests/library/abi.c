/* The binary interface of libattune.so.0, as programs that were built against it have it in them
 * (LP64).
 *
 * The symbols are compared by install.sh and dpkg-gensymbols; this is what names do not say:
 * numbers, where members are, what functions take. What does not compile here would break those
 * programs: it needs the next soname (src/library/meson.build). New functions, and enumerators at
 * the end, are added below. */
#include <attune/attune.h>

#define SAME(type, name) _Static_assert(__builtin_types_compatible_p(type, __typeof__(name)), #name)
#define AT(structure, member, offset, size)                                                        \
    _Static_assert(offsetof(structure, member) == (offset) &&                                      \
                       sizeof(((structure *)0)->member) == (size),                                 \
                   #structure "." #member)

/* ---- numbers ---- */

_Static_assert(ATTUNE_OK == 0 && ATTUNE_AGAIN == 1 && ATTUNE_END == 2 && ATTUNE_INVALID == 3 &&
                   ATTUNE_FORMAT == 4 && ATTUNE_UNSUPPORTED == 5 && ATTUNE_LIMIT == 6 &&
                   ATTUNE_NOMEM == 7 && ATTUNE_IO == 8 && ATTUNE_NOT_FOUND == 9 &&
                   ATTUNE_CONFLICT == 10 && ATTUNE_DENIED == 11 && ATTUNE_NETWORK == 12 &&
                   ATTUNE_INTERNAL == 13,
               "attune_status");
_Static_assert(ATTUNE_SEGMENT == 1 && ATTUNE_CLASSIFY == 2 && ATTUNE_DETECT == 3, "attune_task");
_Static_assert(ATTUNE_RGB24 == 0 && ATTUNE_BGR24 == 1 && ATTUNE_RGBX == 2 && ATTUNE_BGRX == 3 &&
                   ATTUNE_GRAY8 == 4 && ATTUNE_I420 == 5 && ATTUNE_NV12 == 6,
               "attune_layout");
_Static_assert(ATTUNE_LOG_ERROR == 1 && ATTUNE_LOG_WARNING == 2 && ATTUNE_LOG_INFO == 3,
               "attune_level");
_Static_assert(sizeof(attune_status) == 4 && sizeof(attune_task) == 4 &&
                   sizeof(attune_layout) == 4 && sizeof(attune_level) == 4,
               "enumerations");
_Static_assert(ATTUNE_THREADS_MAX == 256 && ATTUNE_SIDE_MAX == 8192 && ATTUNE_NO_CLASS == 255 &&
                   ATTUNE_BOXES_MAX == 100,
               "bounds");

/* ---- structures ---- */

_Static_assert(sizeof(attune_error) == 516 && sizeof(attune_image) == 64 &&
                   sizeof(attune_box) == 24,
               "structures");
AT(attune_error, code, 0, 4);
AT(attune_error, message, 4, 512);
AT(attune_image, layout, 0, 4);
AT(attune_image, width, 4, 4);
AT(attune_image, height, 8, 4);
AT(attune_image, plane, 16, 24);
AT(attune_image, stride_bytes, 40, 24);
AT(attune_box, x0, 0, 4);
AT(attune_box, y0, 4, 4);
AT(attune_box, x1, 8, 4);
AT(attune_box, y1, 12, 4);
AT(attune_box, class_id, 16, 4);
AT(attune_box, score, 20, 4);

/* ---- functions ---- */

typedef attune_student student;
typedef attune_updates updates;
typedef attune_error error;

SAME(const char *(void), attune_version);
SAME(const char *(attune_status), attune_status_text);
SAME(attune_status(const char *, int, student **, error *), attune_student_open);
SAME(void(student **), attune_student_close);
SAME(attune_status(student *, const char *, error *), attune_student_load);
SAME(attune_status(student *, const char *, error *), attune_student_save);
SAME(attune_task(const student *), attune_student_task);
SAME(int(const student *), attune_student_width);
SAME(int(const student *), attune_student_height);
SAME(int(const student *), attune_student_class_count);
SAME(const char *(const student *, int), attune_student_class_name);
SAME(void(const student *, float[3], float[3]), attune_student_normalisation);
SAME(const char *(const student *), attune_student_identity);
SAME(uint64_t(const student *), attune_student_version);
SAME(attune_status(student *, const attune_image *, error *), attune_student_run);
SAME(attune_status(const student *, const uint8_t **, int *, int *, error *), attune_student_map);
SAME(attune_status(const student *, int, int, float *, error *), attune_student_probabilities);
SAME(attune_status(const student *, const attune_box **, int *, error *), attune_student_boxes);
SAME(attune_status(student *, const void *, size_t, int *, error *), attune_student_apply);
SAME(attune_status(student *, error *), attune_student_settle);
SAME(void (*)(void *, attune_level, const char *, const char *), (attune_log_function)0);
SAME(attune_status(student *, const char *, const char *, updates **, error *),
     attune_updates_open);
SAME(attune_status(updates *, const char *, error *), attune_updates_set_ca);
SAME(attune_status(updates *, const char *, error *), attune_updates_set_identity);
SAME(attune_status(updates *, const char *, error *), attune_updates_set_file);
SAME(attune_status(updates *, attune_log_function, void *, error *), attune_updates_set_log);
SAME(attune_status(updates *, error *), attune_updates_start);
SAME(uint64_t(const updates *), attune_updates_applied);
SAME(void(updates **), attune_updates_close);
