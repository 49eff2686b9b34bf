package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxPrinted bounds what is read of a program's output, in bytes.
const maxPrinted = 1 << 20

// printkPrefix begins the names of the tracing instances that OpenPrintk makes; the
// process id and a number follow.
const printkPrefix = "bpffuzz-"

// printkEvent is the event of bpf_trace_printk and bpf_trace_vprintk.
const printkEvent = "events/bpf_trace/bpf_trace_printk/enable"

// Printk reads what programs print with bpf_printk, when they run on the thread that
// opened it. It has a tracing instance of its own, so it takes nothing away from
// readers of trace_pipe and shows nothing of other programs.
type Printk struct {
	mount, pipe int
	path        string // of the instance, in the file system
}

// OpenPrintk makes the instance in a mount of tracefs that nobody else sees. The
// kernel has the event since Linux 5.9.
func OpenPrintk() (*Printk, error) {
	p := &Printk{pipe: -1}
	var err error
	if p.mount, err = mountTracefs(); err != nil {
		return nil, fmt.Errorf("reading what programs print: mounting tracefs: %w%s", err, missing(err, "CAP_SYS_ADMIN"))
	}
	p.sweep()
	if err := p.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("reading what programs print: %w", err), p.Close())
	}
	return p, nil
}

// mountTracefs returns a file descriptor of a mount that is in no directory.
func mountTracefs() (int, error) {
	fs, err := unix.Fsopen("tracefs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, err
	}
	return unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
}

// sweep removes the instances of processes that were killed.
func (p *Printk) sweep() {
	dir, err := unix.Openat(p.mount, "instances", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	f := os.NewFile(uintptr(dir), "instances")
	defer f.Close()
	names, _ := f.Readdirnames(-1)
	for _, name := range names {
		rest, ok := strings.CutPrefix(name, printkPrefix)
		owner, _, _ := strings.Cut(rest, "-")
		pid, err := strconv.Atoi(owner)
		if ok && err == nil && errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
			_ = unix.Unlinkat(dir, name, unix.AT_REMOVEDIR)
		}
	}
}

func (p *Printk) open() error {
	path := fmt.Sprintf("instances/%s%d-%d", printkPrefix, os.Getpid(), unix.Gettid())
	if err := unix.Mkdirat(p.mount, path, 0o700); err != nil {
		return fmt.Errorf("making a tracing instance: %w", err)
	}
	p.path = path
	for _, file := range [...][2]string{{"set_event_pid", strconv.Itoa(unix.Gettid())}, {printkEvent, "1"}} {
		if err := p.write(file[0], file[1]); err != nil {
			return fmt.Errorf("writing %s of a tracing instance: %w", file[0], err)
		}
	}
	var err error
	p.pipe, err = unix.Openat(p.mount, p.path+"/trace_pipe", unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening trace_pipe of a tracing instance: %w", err)
	}
	return nil
}

func (p *Printk) write(name, text string) error {
	fd, err := unix.Openat(p.mount, p.path+"/"+name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	_, err = unix.Write(fd, []byte(text))
	return errors.Join(err, unix.Close(fd))
}

// Read returns the lines that were printed since the last call, without the newline
// at their end. It does not wait.
func (p *Printk) Read() ([]string, error) {
	var text []byte
	buf := make([]byte, 1<<16)
	for len(text) < maxPrinted {
		n, err := unix.Read(p.pipe, buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.EAGAIN) || err == nil && n == 0 {
			break
		}
		if err != nil {
			return printedLines(text), fmt.Errorf("reading what programs print: %w", err)
		}
		text = append(text, buf[:n]...)
	}
	return printedLines(text), nil
}

// printedLines takes off what the kernel puts in front of each record: task, CPU,
// flags, time and the name of the event. A record may have several lines.
func printedLines(text []byte) []string {
	const mark = ": bpf_trace_printk: "
	var lines []string
	for _, line := range bytes.Split(bytes.TrimRight(text, "\n"), []byte("\n")) {
		_, message, found := bytes.Cut(line, []byte(mark))
		if !found {
			message = line
		}
		if len(text) > 0 && (found || len(line) > 0) {
			lines = append(lines, string(message))
		}
	}
	return lines
}

// Close removes the instance.
func (p *Printk) Close() error {
	var err error
	if p.pipe >= 0 {
		err = unix.Close(p.pipe)
	}
	if p.path != "" {
		err = errors.Join(err, unix.Unlinkat(p.mount, p.path, unix.AT_REMOVEDIR))
	}
	if err = errors.Join(err, unix.Close(p.mount)); err != nil {
		return fmt.Errorf("removing a tracing instance: %w", err)
	}
	return nil
}
