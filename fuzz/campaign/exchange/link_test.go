package exchange

import (
	"io"
	"net"
	"sync"
	"testing"
)

// link is a connection to a server that can be cut.
type link struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	down  bool
	conns map[net.Conn]bool
}

func newLink(t *testing.T, to string) *link {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &link{listener: listener, to: to, conns: map[net.Conn]bool{}}
	t.Cleanup(func() {
		listener.Close()
		l.cut()
	})
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			go l.carry(from)
		}
	}()
	return l
}

func (l *link) addr() string { return l.listener.Addr().String() }

func (l *link) carry(from net.Conn) {
	to, err := net.Dial("tcp", l.to)
	if err != nil {
		from.Close()
		return
	}
	defer l.drop(from, to)
	l.mu.Lock()
	down := l.down
	l.conns[from], l.conns[to] = true, true
	l.mu.Unlock()
	if down {
		return
	}
	go func() {
		defer l.drop(from, to)
		_, _ = io.Copy(to, from)
	}()
	_, _ = io.Copy(from, to)
}

func (l *link) drop(conns ...net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		c.Close()
		delete(l.conns, c)
	}
}

// cut ends what there is of connections, and those that begin.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = true
	for c := range l.conns {
		c.Close()
	}
}

func (l *link) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = false
}
