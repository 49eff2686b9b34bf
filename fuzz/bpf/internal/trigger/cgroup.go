package trigger

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// cgroup is a cgroup that only the calling thread is in. Sockets belong to the
// cgroup of the task that makes them, and a threaded cgroup can have one thread of
// a process while the others stay where they are.
type cgroup struct {
	root   int    // a mount of the hierarchy that no path leads to
	parent string // relative to root, where the thread was
	name   string
	dir    int
	link   link.Link
}

// newCgroup makes a cgroup below the thread's and moves the thread into it.
func newCgroup() (*cgroup, error) {
	own, err := ownCgroup()
	if err != nil {
		return nil, err
	}
	root, err := mountCgroups()
	if err != nil {
		return nil, err
	}
	removeAbandoned(root, own)
	c := &cgroup{root: root, dir: -1, parent: own, name: path.Join(own, fmt.Sprintf("%s%d-%d", prefix, unix.Getpid(), unix.Gettid()))}
	if err := unix.Mkdirat(root, c.name, 0o700); err != nil {
		unix.Close(root)
		return nil, fmt.Errorf("making a cgroup below /%s: %w; run where cgroup v2 can be written", own, err)
	}
	if err := c.enter(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *cgroup) enter() (err error) {
	if c.dir, err = unix.Openat(c.root, c.name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("opening the cgroup /%s: %w", c.name, err)
	}
	if err := c.write(path.Join(c.name, "cgroup.type"), "threaded"); err != nil {
		return fmt.Errorf("making the cgroup /%s threaded: %w; /%s must not have controllers in cgroup.subtree_control", c.name, err, c.parent)
	}
	if err := c.write(path.Join(c.name, "cgroup.threads"), "0"); err != nil {
		return fmt.Errorf("moving a thread into the cgroup /%s: %w", c.name, err)
	}
	return nil
}

func (c *cgroup) write(name, text string) error {
	fd, err := unix.Openat(c.root, name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, []byte(text))
	return err
}

// attach makes the program run for the thread's sockets.
func (c *cgroup) attach(p *Program) (err error) {
	c.link, err = link.AttachRawLink(link.RawLinkOptions{Target: c.dir, Program: p.Program, Attach: p.Attach})
	if err != nil {
		return fmt.Errorf("attaching to a cgroup: %w", err)
	}
	return nil
}

// Close detaches the program, moves the thread back and removes the cgroup.
func (c *cgroup) Close() (err error) {
	if c.link != nil {
		err = c.link.Close()
	}
	if c.dir >= 0 {
		err = errors.Join(err, c.write(path.Join(c.parent, "cgroup.threads"), "0"), unix.Close(c.dir))
	}
	if e := unix.Unlinkat(c.root, c.name, unix.AT_REMOVEDIR); e != nil {
		err = errors.Join(err, fmt.Errorf("removing the cgroup /%s: %w", c.name, e))
	}
	return errors.Join(err, unix.Close(c.root))
}

// prefix is what the names of our cgroups begin with; the process and the thread
// follow.
const prefix = "bpffuzz-"

// removeAbandoned removes the cgroups of processes that were killed.
func removeAbandoned(root int, parent string) {
	fd, err := unix.Openat(root, parent, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	dir := os.NewFile(uintptr(fd), parent)
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		rest, ok := strings.CutPrefix(name, prefix)
		pid, _, _ := strings.Cut(rest, "-")
		if !ok || strings.Trim(pid, "0123456789") != "" {
			continue
		}
		if _, err := os.Stat("/proc/" + pid); errors.Is(err, os.ErrNotExist) {
			_ = unix.Unlinkat(fd, name, unix.AT_REMOVEDIR) // one with tasks stays
		}
	}
}

// ownCgroup returns the thread's cgroup of version 2, without a leading slash, "."
// for the root.
func ownCgroup() (string, error) {
	text, err := os.ReadFile("/proc/thread-self/cgroup")
	if err != nil {
		return "", fmt.Errorf("finding the thread's cgroup: %w", err)
	}
	for line := range bytes.Lines(text) {
		if own, ok := strings.CutPrefix(strings.TrimSpace(string(line)), "0::/"); ok {
			return path.Join(".", own), nil
		}
	}
	return "", errors.New("finding the thread's cgroup: this kernel has no cgroup v2, which programs of this type attach to")
}

// mountCgroups mounts the hierarchy without giving it a path: nobody else sees it,
// and it ends with its descriptor.
func mountCgroups() (int, error) {
	fs, err := unix.Fsopen("cgroup2", unix.FSOPEN_CLOEXEC)
	if err == nil {
		defer unix.Close(fs)
		err = unix.FsconfigCreate(fs)
	}
	if err != nil {
		return -1, fmt.Errorf("mounting cgroup v2: %w", err)
	}
	root, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("mounting cgroup v2: %w", err)
	}
	return root, nil
}

// inCgroup makes a cgroup in a namespace where events can be caused. What is
// returned is not attached yet: sockets that are opened until then are in the cgroup
// without the program's knowing.
func inCgroup() (*cgroup, error) {
	if err := prepareNamespace(); err != nil {
		return nil, err
	}
	return newCgroup()
}

// attachedCgroup is inCgroup with the program attached.
func attachedCgroup(p *Program) (*cgroup, error) {
	c, err := inCgroup()
	if err != nil {
		return nil, err
	}
	if err := c.attach(p); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}
