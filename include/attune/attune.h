/**
 * @file attune.h
 * @brief libattune: run a small vision network on frames and receive what it has learned.
 *
 * A *student* is the network that a camera runs: an ONNX file. An attune server keeps retraining
 * it on what cameras see and streams the weights that matter. With this library a C program runs
 * such a student on its own frames and puts the updates in place while it runs, between two frames,
 * as `attune camera` does. It does not send pictures: what a student learns from, an
 * `attune camera` sends (docs/library.md).
 *
 * @par Errors
 * Functions return an #attune_status and, where their last argument is not NULL, leave a sentence
 * in an #attune_error. After an error nothing has changed. Wrong arguments (NULL, numbers out of
 * range) are #ATTUNE_INVALID, never a crash. The library does not print and does not end the
 * program.
 *
 * @par Threads
 * There is no state outside of the objects. Of one student, one thread runs frames and reads the
 * answers, and at the same time one other thread applies updates; #attune_student_version may be
 * called from any. Different students are independent. A run uses as many OpenMP threads as
 * #attune_student_open was told.
 *
 * @par Memory
 * `x_open` makes an object, `x_close` takes it, NULL included, and sets the pointer to NULL. After
 * the first frame of a size a run allocates nothing. An update needs as much memory as the student
 * has parameters, all taken when the student is opened.
 *
 * @par Stability
 * Versions before 1.0 may change the interface; the soname changes with it. Enumerators are only
 * added at the end.
 */
#ifndef ATTUNE_ATTUNE_H
#define ATTUNE_ATTUNE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Version of this header, as major, minor, patch. */
#define ATTUNE_VERSION_MAJOR 0
#define ATTUNE_VERSION_MINOR 1 /**< @copydoc ATTUNE_VERSION_MAJOR */
#define ATTUNE_VERSION_PATCH 0 /**< @copydoc ATTUNE_VERSION_MAJOR */

#ifndef ATTUNE_API
/** Marks what the shared library exports. */
#define ATTUNE_API __attribute__((visibility("default")))
#endif

/** Version of the library that runs: "0.1.0". */
ATTUNE_API const char *attune_version(void);

/* ---- errors ---- */

/** What a function came to. */
typedef enum attune_status {
    ATTUNE_OK = 0,          /**< done */
    ATTUNE_AGAIN = 1,       /**< nothing yet, ask again */
    ATTUNE_END = 2,         /**< it was closed meanwhile */
    ATTUNE_INVALID = 3,     /**< an argument, or weights that give no numbers */
    ATTUNE_FORMAT = 4,      /**< damaged or foreign bytes */
    ATTUNE_UNSUPPORTED = 5, /**< a network or picture that the library cannot take */
    ATTUNE_LIMIT = 6,       /**< larger than any that is accepted */
    ATTUNE_NOMEM = 7,       /**< out of memory */
    ATTUNE_IO = 8,          /**< a file could not be read or written */
    ATTUNE_NOT_FOUND = 9,   /**< no such file; the server knows no such camera */
    ATTUNE_CONFLICT = 10,   /**< an update of another student or for another version */
    ATTUNE_DENIED = 11,     /**< the server does not permit it */
    ATTUNE_NETWORK = 12,    /**< no answer: try again later */
    ATTUNE_INTERNAL = 13    /**< a bug */
} attune_status;

/** Short English text of a status, never NULL. */
ATTUNE_API const char *attune_status_text(attune_status status);

/** What went wrong: the caller's own, filled by the function that returned an error. */
typedef struct attune_error {
    attune_status code; /**< the same as was returned */
    char message[512];  /**< one sentence that says what to do, NUL-terminated */
} attune_error;

/* ---- students ---- */

/** A network that is open, with the weights that it runs. */
typedef struct attune_student attune_student;

/** Most OpenMP threads of a run. */
#define ATTUNE_THREADS_MAX 256

/**
 * Opens an ONNX file as a student.
 * @param path the file; with metadata as `attune model describe` writes it, or of a shape that
 *        speaks for itself
 * @param threads OpenMP threads of a run, 1 to #ATTUNE_THREADS_MAX
 * @param ret_student the student at version 0, the file's own weights
 * @param error may be NULL
 */
ATTUNE_API attune_status attune_student_open(const char *path, int threads,
                                             attune_student **ret_student, attune_error *error);

/** Ends it. No thread may use it, and its updates (#attune_updates) must be closed before. */
ATTUNE_API void attune_student_close(attune_student **student);

/**
 * Reads weights and their version from a file that #attune_student_save or `attune camera`
 * (`STATE/params.ckpt`) wrote. Before the first frame. #ATTUNE_NOT_FOUND: there is none;
 * #ATTUNE_CONFLICT: it is of another student.
 */
ATTUNE_API attune_status attune_student_load(attune_student *student, const char *path,
                                             attune_error *error);

/** Writes weights and version, atomically. From the thread that applies updates. */
ATTUNE_API attune_status attune_student_save(attune_student *student, const char *path,
                                             attune_error *error);

/** What a student is for. */
typedef enum attune_task {
    ATTUNE_SEGMENT = 1,  /**< a class for every cell of a grid over the picture */
    ATTUNE_CLASSIFY = 2, /**< a class for the picture */
    ATTUNE_DETECT = 3    /**< boxes */
} attune_task;

/** The student's task. */
ATTUNE_API attune_task attune_student_task(const attune_student *student);

/** Width of the network's input, pixels. */
ATTUNE_API int attune_student_width(const attune_student *student);

/** Height of the network's input, pixels. */
ATTUNE_API int attune_student_height(const attune_student *student);

/** How many classes it tells apart. */
ATTUNE_API int attune_student_class_count(const attune_student *student);

/** Name of a class, "" where the file has none; NULL for an index that is out of range. */
ATTUNE_API const char *attune_student_class_name(const attune_student *student, int class_id);

/** Mean and standard deviation by which R, G and B (0 to 1) are normalised before a run. */
ATTUNE_API void attune_student_normalisation(const attune_student *student, float mean[3],
                                             float std[3]);

/** SHA-256 of the student's file, 64 hexadecimal digits: what a server compares. */
ATTUNE_API const char *attune_student_identity(const attune_student *student);

/** Version of the weights that ran last; 0: the file's own. From any thread. */
ATTUNE_API uint64_t attune_student_version(const attune_student *student);

/* ---- frames ---- */

/** How a picture lies in memory. YUV is of limited range, BT.601 below 720 rows, else BT.709. */
typedef enum attune_layout {
    ATTUNE_RGB24 = 0, /**< one plane, three bytes a pixel: R, G, B */
    ATTUNE_BGR24 = 1, /**< one plane: B, G, R */
    ATTUNE_RGBX = 2,  /**< one plane, four bytes a pixel, the last one ignored */
    ATTUNE_BGRX = 3,  /**< one plane, four bytes a pixel, the last one ignored */
    ATTUNE_GRAY8 = 4, /**< one plane, a byte a pixel */
    ATTUNE_I420 = 5,  /**< three planes: Y, and U and V of half the sides, rounded up */
    ATTUNE_NV12 = 6   /**< two planes: Y, and U and V in turns */
} attune_layout;

/** Longest side of a picture, pixels. */
#define ATTUNE_SIDE_MAX 8192

/** A picture of the caller's, of any size: it is scaled to the network's input. */
typedef struct attune_image {
    attune_layout layout;      /**< which planes there are */
    int width;                 /**< 1 to #ATTUNE_SIDE_MAX pixels */
    int height;                /**< 1 to #ATTUNE_SIDE_MAX pixels */
    const uint8_t *plane[3];   /**< first row of each plane */
    ptrdiff_t stride_bytes[3]; /**< from one row to the next; negative: the picture is bottom up */
} attune_image;

/**
 * Runs the student on a picture, after putting in place what was applied (#attune_student_apply).
 * The answer is read with the functions below, until the next run.
 */
ATTUNE_API attune_status attune_student_run(attune_student *student, const attune_image *image,
                                            attune_error *error);

/** No class: of a cell of #attune_student_map. */
#define ATTUNE_NO_CLASS 255

/**
 * The answer as a class for each cell: `map[y * width + x]`, lent until the next run. The grid
 * covers the picture; of a classification it is one cell. #ATTUNE_UNSUPPORTED of a detection,
 * #ATTUNE_AGAIN before the first run.
 */
ATTUNE_API attune_status attune_student_map(const attune_student *student, const uint8_t **ret_map,
                                            int *ret_width, int *ret_height, attune_error *error);

/**
 * Probabilities of the classes in one cell of that grid, which sum up to 1:
 * `probability[class_count]` is the caller's. For x and y of 0 a classification's.
 */
ATTUNE_API attune_status attune_student_probabilities(const attune_student *student, int x, int y,
                                                      float *probability, attune_error *error);

/** A thing in the picture. */
typedef struct attune_box {
    float x0;     /**< left side, as a fraction of the picture's width */
    float y0;     /**< upper side, as a fraction of its height */
    float x1;     /**< right side */
    float y1;     /**< lower side */
    int class_id; /**< index of its class */
    float score;  /**< how sure the student is, 0 to 1 */
} attune_box;

/** Most boxes of a picture. */
#define ATTUNE_BOXES_MAX 100

/**
 * The answer of a detection, best first; lent until the next run. #ATTUNE_UNSUPPORTED of other
 * tasks, #ATTUNE_AGAIN before the first run.
 */
ATTUNE_API attune_status attune_student_boxes(const attune_student *student,
                                              const attune_box **ret_boxes, int *ret_count,
                                              attune_error *error);

/* ---- updates ---- */

/**
 * Applies one update (`application/vnd.attune.delta`) that the program has received by its own
 * means. It is decoded and checked here and offered to the thread that runs frames, which puts it
 * in place before its next frame: no frame sees half an update, and none waits. An answer that is
 * not a number undoes it, and the frame runs again with the weights from before.
 * @param ret_applied may be NULL; 0: the student is at that version already
 * @return #ATTUNE_CONFLICT: it is of another student or for another version, get a snapshot;
 *         #ATTUNE_FORMAT: damaged; #ATTUNE_AGAIN: no frame has run since the last one
 */
ATTUNE_API attune_status attune_student_apply(attune_student *student, const void *bytes,
                                              size_t size_bytes, int *ret_applied,
                                              attune_error *error);

/**
 * What became of the last #attune_student_apply. #ATTUNE_OK: it runs; #ATTUNE_AGAIN: no frame has
 * come since; #ATTUNE_INVALID: it was undone.
 */
ATTUNE_API attune_status attune_student_settle(attune_student *student, attune_error *error);

/** Follows what a server has learned for one of its cameras. */
typedef struct attune_updates attune_updates;

/** How much a message of #attune_log_function matters. */
typedef enum attune_level {
    ATTUNE_LOG_ERROR = 1,   /**< something does not work */
    ATTUNE_LOG_WARNING = 2, /**< something is tried again */
    ATTUNE_LOG_INFO = 3     /**< a version was put in place */
} attune_level;

/**
 * Called with what happens, from the thread that follows: `event` is a short text, `details`
 * key=value pairs. Both are lent for the call.
 */
typedef void (*attune_log_function)(void *context, attune_level level, const char *event,
                                    const char *details);

/**
 * Prepares to follow. Nothing is sent yet.
 * @param student must outlive the updates
 * @param url `https://HOST:PORT` of the server; plain http:// only to this machine
 * @param camera id of a camera that the server knows, whose model is to be run here too
 * @param ret_updates the object
 * @param error may be NULL
 */
ATTUNE_API attune_status attune_updates_open(attune_student *student, const char *url,
                                             const char *camera, attune_updates **ret_updates,
                                             attune_error *error);

/** Trusts this certificate alone, the server's `STATE/tls/cert.pem`. Before it starts. */
ATTUNE_API attune_status attune_updates_set_ca(attune_updates *updates, const char *path,
                                               attune_error *error);

/**
 * Takes key and token from the folder that `attune camera enroll --state DIR` has filled, for a
 * server that asks for them: the camera must be the one that was enrolled. Before it starts.
 */
ATTUNE_API attune_status attune_updates_set_identity(attune_updates *updates, const char *dir,
                                                     attune_error *error);

/** Keeps every version in this file, for #attune_student_load. Before it starts. */
ATTUNE_API attune_status attune_updates_set_file(attune_updates *updates, const char *path,
                                                 attune_error *error);

/** Says what happens. Before it starts. */
ATTUNE_API attune_status attune_updates_set_log(attune_updates *updates,
                                                attune_log_function function, void *context,
                                                attune_error *error);

/**
 * Follows in a thread of its own until it is closed: whatever goes wrong is said and tried again.
 * From now on the student's updates are the follower's.
 */
ATTUNE_API attune_status attune_updates_start(attune_updates *updates, attune_error *error);

/** Versions that were put in place since it started. From any thread. */
ATTUNE_API uint64_t attune_updates_applied(const attune_updates *updates);

/** Stops following; a request that waits is ended. The student keeps what it has. */
ATTUNE_API void attune_updates_close(attune_updates **updates);

#ifdef __cplusplus
}
#endif

#endif
