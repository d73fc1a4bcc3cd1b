/* student.c - runs an adapted student on raw frames and follows what a server has learned for it.
 *
 *   cc student.c -o student $(pkg-config --cflags --libs libattune)
 *   ffmpeg -v error -i rtsp://10.0.0.7/main -f rawvideo -pix_fmt rgb24 -s 640x360 - |
 *       ./student student.onnx 640 360 https://10.0.0.2:8443 gate-1 /var/lib/gate-1
 *
 * Without a server the student stays as its file has it. A line for every frame: its number, the
 * version of the weights, and the answer: boxes, the picture's class, or each class's share.
 */
#include <attune/attune.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void fail(const char *why)
{
    fprintf(stderr, "student: %s\n", why);
    exit(EXIT_FAILURE);
}

static void on_log(void *context, attune_level level, const char *event, const char *details)
{
    (void)context;
    fprintf(stderr, "student: %s%s: %s\n", level < ATTUNE_LOG_INFO ? "warning: " : "", event,
            details);
}

static void print_boxes(const attune_student *student)
{
    const attune_box *box;
    int count = 0;
    attune_student_boxes(student, &box, &count, NULL);
    for (int i = 0; i < count; i++)
        printf(" %s:%.3f@%.5f,%.5f,%.5f,%.5f", attune_student_class_name(student, box[i].class_id),
               box[i].score, box[i].x0, box[i].y0, box[i].x1, box[i].y1);
}

static void print_class(const attune_student *student)
{
    float probability[256];
    int best = 0;
    attune_student_probabilities(student, 0, 0, probability, NULL);
    for (int c = 1; c < attune_student_class_count(student); c++)
        best = probability[c] > probability[best] ? c : best;
    printf(" %s:%.5f", attune_student_class_name(student, best), probability[best]);
}

static void print_shares(const attune_student *student)
{
    const uint8_t *map;
    int width, height, cells[256] = {0};
    attune_student_map(student, &map, &width, &height, NULL);
    for (int i = 0; i < width * height; i++)
        cells[map[i]]++;
    for (int c = 0; c < attune_student_class_count(student); c++)
        if (cells[c])
            printf(" %s:%.5f", attune_student_class_name(student, c),
                   (double)cells[c] / (width * height));
}

int main(int argc, char **argv)
{
    attune_student *student = NULL;
    attune_updates *updates = NULL;
    attune_error error;
    if (argc != 4 && argc != 6 && argc != 7)
        fail("usage: student FILE.onnx WIDTH HEIGHT [SERVER CAMERA [ENROLLED-DIR]]");
    int width = atoi(argv[2]), height = atoi(argv[3]);
    if (width < 1 || height < 1 || width > ATTUNE_SIDE_MAX || height > ATTUNE_SIDE_MAX)
        fail("WIDTH and HEIGHT are those of the frames on standard input");
    if (attune_student_open(argv[1], 1, &student, &error) != ATTUNE_OK)
        fail(error.message);
    if (argc > 5 && (attune_updates_open(student, argv[4], argv[5], &updates, &error) ||
                     attune_updates_set_log(updates, on_log, NULL, &error) ||
                     (argc > 6 && attune_updates_set_identity(updates, argv[6], &error)) ||
                     attune_updates_start(updates, &error)))
        fail(error.message);
    size_t bytes = (size_t)width * (size_t)height * 3;
    uint8_t *pixels = malloc(bytes);
    attune_image image = {.layout = ATTUNE_RGB24, .width = width, .height = height};
    image.plane[0] = pixels;
    image.stride_bytes[0] = (ptrdiff_t)width * 3;
    for (int n = 0; pixels && fread(pixels, 1, bytes, stdin) == bytes; n++) {
        if (attune_student_run(student, &image, &error) != ATTUNE_OK)
            fail(error.message);
        printf("%d v%" PRIu64, n, attune_student_version(student));
        attune_task task = attune_student_task(student);
        (task == ATTUNE_DETECT     ? print_boxes
         : task == ATTUNE_CLASSIFY ? print_class
                                   : print_shares)(student);
        putchar('\n');
        fflush(stdout);
    }
    free(pixels);
    attune_updates_close(&updates);
    attune_student_close(&student);
    return EXIT_SUCCESS;
}
