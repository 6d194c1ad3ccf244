/* A detector in C: sends PGM images (8 or 16 bit) into a chain, as docs/wire-format.md says.
 *
 *   cc -O2 -o detector detector.c -lzmq
 *   ./detector tcp://127.0.0.1:5750 image.pgm ...   says of each `accepted NAME RUN SEQ` or `refused NAME REASON`
 *   ./detector --offer image.pgm                    writes an Offer's parts as in tests/contract/vectors
 *   ./detector --answer FILE.bin                    says what an answer in that form means
 *
 * Exit status 0: all accepted; 1: no answer, or a file cannot be read; 3: some refused. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if __has_include(<zmq.h>)
#include <zmq.h>
#else /* what is used of libzmq 4, where its header is not installed */
enum { ZMQ_DEALER = 5, ZMQ_RCVMORE = 13, ZMQ_LINGER = 17, ZMQ_POLLIN = 1, ZMQ_SNDMORE = 2 };
typedef struct { void *socket; int fd; short events, revents; } zmq_pollitem_t;
void *zmq_ctx_new(void);
int zmq_ctx_term(void *);
void *zmq_socket(void *, int);
int zmq_close(void *);
int zmq_connect(void *, const char *);
int zmq_setsockopt(void *, int, const void *, size_t);
int zmq_getsockopt(void *, int, void *, size_t *);
int zmq_send(void *, const void *, size_t, int);
int zmq_recv(void *, void *, size_t, int);
int zmq_poll(zmq_pollitem_t *, int, long);
#endif

enum { WINDOW = 8, AGAIN_MS = 10000, TRIES = 6, LARGEST = 1 << 20 };

typedef struct { const char *name; uint32_t height, width, size; unsigned char *pixels; size_t bytes; } Image;
typedef struct { unsigned char *at, *end; } Bytes;

/* MessagePack, as much as is needed of it. */

static void put(Bytes *out, const void *bytes, size_t n)
{
    if ((size_t)(out->end - out->at) < n) { fputs("header too large\n", stderr); exit(1); }
    memcpy(out->at, bytes, n);
    out->at += n;
}
static void put_number(Bytes *out, unsigned char tag, uint64_t value, int width) /* big-endian behind its tag */
{
    unsigned char b[9] = { tag };
    for (int i = 0; i < width; i++) b[1 + i] = (unsigned char)(value >> 8 * (width - 1 - i));
    put(out, b, 1 + (size_t)width);
}
static void put_text(Bytes *out, const char *text)
{
    put_number(out, 0xda, strlen(text), 2);
    put(out, text, strlen(text));
}
static void put_map(Bytes *out, int entries) { put_number(out, (unsigned char)(0x80 | entries), 0, 0); }
static void put_list(Bytes *out, int entries) { put_number(out, (unsigned char)(0x90 | entries), 0, 0); }

static uint64_t take(Bytes *in, int width)
{
    uint64_t value = 0;
    if (in->end - in->at < width) { in->at = in->end; return 0; }
    while (width--) value = value << 8 | *in->at++;
    return value;
}
typedef struct { char kind; uint64_t n; const char *text; } Value; /* u: number, s: text, m: map, l: list, -: other */

static Value next_value(Bytes *in)
{
    unsigned char t = (unsigned char)take(in, 1);
    Value v = { '-', 0, NULL };
    if (t < 0x80) v.kind = 'u', v.n = t;
    else if (t < 0x90) v.kind = 'm', v.n = t & 15;
    else if (t < 0xa0) v.kind = 'l', v.n = t & 15;
    else if (t < 0xc0) v.kind = 's', v.n = t & 31;
    else if (t == 0xca || t == 0xcb) take(in, t == 0xca ? 4 : 8);
    else if (t >= 0xcc && t <= 0xd3) v.kind = 'u', v.n = take(in, 1 << (t - 0xcc) % 4);
    else if (t >= 0xd9 && t <= 0xdb) v.kind = 's', v.n = take(in, 1 << (t - 0xd9));
    else if (t == 0xdc || t == 0xdd) v.kind = 'l', v.n = take(in, t == 0xdc ? 2 : 4);
    else if (t == 0xde || t == 0xdf) v.kind = 'm', v.n = take(in, t == 0xde ? 2 : 4);
    if (v.kind == 's') {
        v.text = (const char *)in->at;
        if ((uint64_t)(in->end - in->at) < v.n) v.n = 0, in->at = in->end;
        in->at += v.n;
    }
    return v;
}
static void skip(Bytes *in, Value v) /* a value that was taken out, with all in it */
{
    uint64_t within = v.kind == 'm' ? 2 * v.n : v.kind == 'l' ? v.n : 0;
    while (within-- && in->at < in->end) skip(in, next_value(in));
}
static int is(Value v, const char *text) { return v.kind == 's' && v.n == strlen(text) && !memcmp(v.text, text, v.n); }

typedef struct { Value type, run, reason; uint64_t offer, seq; } Answer;

static Answer read_answer(Bytes in) /* keys come in any order, unknown ones are passed over */
{
    Answer a = { { '-', 0, NULL }, { '-', 0, NULL }, { '-', 0, NULL }, 0, 0 };
    Value header = next_value(&in);
    for (uint64_t i = 0; header.kind == 'm' && i < header.n && in.at < in.end; i++) {
        Value key = next_value(&in), value = next_value(&in);
        if (is(key, "type")) a.type = value;
        if (!is(key, "body") || value.kind != 'm') { skip(&in, value); continue; }
        for (uint64_t j = 0; j < value.n && in.at < in.end; j++) {
            Value field = next_value(&in), is_now = next_value(&in);
            if (is(field, "offer")) a.offer = is_now.n;
            else if (is(field, "seq")) a.seq = is_now.n;
            else if (is(field, "run")) a.run = is_now;
            else if (is(field, "reason")) a.reason = is_now;
            skip(&in, is_now);
        }
    }
    return a;
}

/* Images and offers. */

static int read_pgm(const char *name, Image *image)
{
    unsigned width, height, most;
    FILE *file = fopen(name, "rb");
    if (!file || fscanf(file, "P5 %u %u %u", &width, &height, &most) != 3 || fgetc(file) == EOF ||
        !width || !height || most > 65535 || (uint64_t)width * height > 1u << 28) return 0;
    *image = (Image){ name, height, width, most > 255 ? 2 : 1, NULL, 0 };
    image->bytes = (size_t)width * height * image->size;
    image->pixels = malloc(image->bytes);
    int whole = image->pixels && fread(image->pixels, 1, image->bytes, file) == image->bytes;
    fclose(file);
    for (size_t i = 0; whole && image->size == 2 && i < image->bytes; i += 2) { /* PGM is big-endian */
        unsigned char first = image->pixels[i];
        image->pixels[i] = image->pixels[i + 1], image->pixels[i + 1] = first;
    }
    return whole;
}

static size_t offer_header(unsigned char *buffer, const char *session, uint64_t offer, const Image *image)
{
    Bytes out = { buffer, buffer + LARGEST };
    char parent[513];
    const char *slash = strrchr(image->name, '/');
    snprintf(parent, sizeof parent, "%s-%.400s", session, slash ? slash + 1 : image->name);
    put_map(&out, 3);
    put_text(&out, "type"), put_text(&out, "Offer");
    put_text(&out, "body"), put_map(&out, 3);
    put_text(&out, "session"), put_text(&out, session);
    put_text(&out, "offer"), put_number(&out, 0xcf, offer, 8);
    put_text(&out, "metadata"), put_map(&out, 2);
    put_text(&out, "parent_id"), put_text(&out, parent);
    put_text(&out, "source"), put_text(&out, "detector in C");
    put_text(&out, "arrays"), put_list(&out, 1), put_map(&out, 3);
    put_text(&out, "name"), put_text(&out, "image");
    put_text(&out, "dtype"), put_text(&out, image->size == 2 ? "<u2" : "|u1");
    put_text(&out, "shape"), put_list(&out, 2); /* rows first */
    put_number(&out, 0xce, image->height, 4), put_number(&out, 0xce, image->width, 4);
    return (size_t)(out.at - buffer);
}

static void send_offer(void *dealer, const char *session, uint64_t offer, const Image *image)
{
    static unsigned char header[LARGEST];
    size_t size = offer_header(header, session, offer, image);
    zmq_send(dealer, "HF\x01", 3, ZMQ_SNDMORE);
    zmq_send(dealer, header, size, ZMQ_SNDMORE);
    zmq_send(dealer, image->pixels, image->bytes, 0);
}

static int hear(void *dealer, Answer *answer) /* 0 when nothing, or nothing of ours, has come in time */
{
    static unsigned char part[2][LARGEST];
    int sizes[2] = { 0, 0 }, parts = 0, more = 1;
    zmq_pollitem_t item = { dealer, 0, ZMQ_POLLIN, 0 };
    if (zmq_poll(&item, 1, AGAIN_MS) < 1) return 0;
    for (size_t n = sizeof more; more; parts++) {
        int kept = parts < 2 ? parts : 1, came = zmq_recv(dealer, part[kept], LARGEST, 0);
        if (came < 0 || zmq_getsockopt(dealer, ZMQ_RCVMORE, &more, &n)) return 0;
        sizes[kept] = came < LARGEST ? came : LARGEST;
    }
    if (parts != 2 || sizes[0] != 3 || memcmp(part[0], "HF\x01", 3)) return 0;
    *answer = read_answer((Bytes){ part[1], part[1] + sizes[1] });
    return is(answer->type, "Accepted") || is(answer->type, "Refused");
}

static int run(const char *address, char **names, int count)
{
    char session[32];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    FILE *random = fopen("/dev/urandom", "rb");
    uint64_t drawn = (uint64_t)now.tv_sec ^ (uint64_t)now.tv_nsec << 32;
    if (random) drawn ^= fread(&drawn, sizeof drawn, 1, random), fclose(random);
    snprintf(session, sizeof session, "%016llx", (unsigned long long)drawn);

    int linger = 3000, next = 0, refused = 0, tries = 0, waiting = 0;
    Image *images = calloc((size_t)count, sizeof *images);
    void *context = zmq_ctx_new(), *dealer = zmq_socket(context, ZMQ_DEALER);
    zmq_setsockopt(dealer, ZMQ_LINGER, &linger, sizeof linger);
    if (zmq_connect(dealer, address)) { fprintf(stderr, "cannot connect to %s\n", address); return 1; }
    while (next < count || waiting) {
        for (; next < count && waiting < WINDOW; next++, waiting++) { /* offers are numbered from 1 */
            if (!read_pgm(names[next], &images[next])) { fprintf(stderr, "%s: no PGM\n", names[next]); return 1; }
            send_offer(dealer, session, (uint64_t)next + 1, &images[next]);
        }
        Answer a;
        if (!hear(dealer, &a)) {
            if (++tries == TRIES) { fputs("no answer\n", stderr); return 1; }
            for (int i = 0; i < next; i++) if (images[i].pixels) send_offer(dealer, session, (uint64_t)i + 1, &images[i]);
            continue;
        }
        tries = 0;
        if (a.offer < 1 || a.offer > (uint64_t)next || !images[a.offer - 1].pixels) continue; /* a second answer */
        Image *image = &images[a.offer - 1];
        if (is(a.type, "Accepted")) printf("accepted %s %.*s %llu\n", image->name, (int)a.run.n, a.run.text, (unsigned long long)a.seq);
        else printf("refused %s %.*s\n", image->name, (int)a.reason.n, a.reason.text), refused++;
        free(image->pixels), image->pixels = NULL, waiting--;
    }
    zmq_close(dealer), zmq_ctx_term(context), free(images);
    return refused ? 3 : 0;
}

/* The same bytes as files, for a check against the test vectors. */

static void write_part(const void *bytes, size_t n)
{
    unsigned char length[4] = { (unsigned char)n, (unsigned char)(n >> 8), (unsigned char)(n >> 16), (unsigned char)(n >> 24) };
    fwrite(length, 1, 4, stdout), fwrite(bytes, 1, n, stdout);
}

int main(int argc, char **argv)
{
    static unsigned char buffer[LARGEST];
    Image image;
    if (argc == 3 && !strcmp(argv[1], "--offer")) {
        if (!read_pgm(argv[2], &image)) return 1;
        write_part("HF\x01", 3);
        write_part(buffer, offer_header(buffer, "s", 1, &image));
        write_part(image.pixels, image.bytes);
        return 0;
    }
    if (argc == 3 && !strcmp(argv[1], "--answer")) {
        FILE *file = fopen(argv[2], "rb");
        size_t n = file ? fread(buffer, 1, sizeof buffer, file) : 0;
        if (n < 11 || memcmp(buffer, "\3\0\0\0HF\x01", 7)) return 1;
        Answer a = read_answer((Bytes){ buffer + 11, buffer + n });
        printf("%.*s %llu %.*s %llu %.*s\n", (int)a.type.n, a.type.text, (unsigned long long)a.offer,
               (int)a.run.n, a.run.text ? a.run.text : "", (unsigned long long)a.seq, (int)a.reason.n, a.reason.text ? a.reason.text : "");
        return 0;
    }
    if (argc < 3) { fputs("detector ADDRESS IMAGE.pgm ...\n", stderr); return 2; }
    return run(argv[1], argv + 2, argc - 2);
}
