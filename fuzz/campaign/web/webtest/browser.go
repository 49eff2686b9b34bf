// Package webtest drives a browser without a window for tests of the dashboard.
package webtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Patience is how long a test waits for what has to happen, on a machine that is busy.
const Patience = 90 * time.Second

// Browser is a browser with one page. What goes wrong ends the test.
type Browser struct {
	t   testing.TB
	ctx context.Context
	dir string // of downloads

	mu       sync.Mutex
	asked    []string // addresses
	problems []string
}

// Start starts Chromium, and skips the test where there is none. It takes seconds: Tab gives
// other tests a page of their own.
func Start(t testing.TB) *Browser {
	t.Helper()
	path := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(name); err == nil && path == "" {
			path = found
		}
	}
	if path == "" {
		t.Skip("no browser: install chromium to test the dashboard in one")
	}
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.DisableGPU, chromedp.WSURLReadTimeout(Patience))
	if os.Geteuid() == 0 {
		opts = append(opts, chromedp.NoSandbox) // Chromium refuses to have one as root
	}
	allocated, done := chromedp.NewExecAllocator(context.Background(), opts...)
	t.Cleanup(done)
	return newTab(t, allocated)
}

// Tab returns another page of the browser, which is closed with its test.
func (b *Browser) Tab(t testing.TB) *Browser {
	t.Helper()
	return newTab(t, b.ctx)
}

func newTab(t testing.TB, in context.Context) *Browser {
	t.Helper()
	ctx, closed := chromedp.NewContext(in)
	t.Cleanup(closed)
	b := &Browser{t: t, ctx: ctx, dir: t.TempDir()}
	b.must("opening a page", chromedp.Do(ctx, chromedp.Navigate("about:blank")))
	b.must("listening", chromedp.Listen(ctx, b.note))
	_, err := chromedp.Call(ctx, network.Enable, network.EnableParams{})
	b.must("watching requests", err)
	_, err = chromedp.CallBrowser(ctx, browser.SetDownloadBehavior, browser.SetDownloadBehaviorParams{
		Behavior: browser.SetDownloadBehaviorBehaviorAllow, DownloadPath: b.dir,
	})
	b.must("allowing downloads", err)
	return b
}

// note keeps what the page asks for and what goes wrong in it.
func (b *Browser) note(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch ev := ev.(type) {
	case *network.EventRequestWillBeSent:
		b.asked = append(b.asked, ev.Request.URL)
	case *runtime.EventExceptionThrown:
		b.problems = append(b.problems, fmt.Sprintf("exception: %s %+v", ev.ExceptionDetails.Text, ev.ExceptionDetails.Exception))
	case *runtime.EventConsoleAPICalled:
		b.problems = append(b.problems, fmt.Sprintf("console: %s", ev.Type))
	case *log.EventEntryAdded:
		b.problems = append(b.problems, fmt.Sprintf("log: %s %s", ev.Entry.Text, ev.Entry.URL))
	}
}

func (b *Browser) must(what string, err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// Forget forgets what went wrong so far, where that was meant to.
func (b *Browser) Forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.problems, b.asked = nil, nil
}

// Check reports what went wrong in the page, and requests to other servers than host.
func (b *Browser) Check(host string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range b.problems {
		b.t.Errorf("in the browser: %s", p)
	}
	for _, a := range b.asked {
		if u, err := url.Parse(a); err != nil || u.Host != host {
			b.t.Errorf("the page asks for %s", a)
		}
	}
	if len(b.asked) == 0 {
		b.t.Error("no request was seen")
	}
}

// Open opens an address.
func (b *Browser) Open(address string) {
	b.t.Helper()
	b.must("opening "+address, chromedp.Do(b.ctx, chromedp.Navigate(address)))
}

// Shape sets how large the page is, and what its reader wants.
func (b *Browser) Shape(width, height int64, dark, calm bool) {
	b.t.Helper()
	b.must("setting the size", chromedp.Do(b.ctx, chromedp.EmulateViewport(width, height)))
	scheme, motion := "light", "no-preference"
	if dark {
		scheme = "dark"
	}
	if calm {
		motion = "reduce"
	}
	_, err := chromedp.Call(b.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: motion},
	}})
	b.must("setting the colour scheme", err)
}

// Text evaluates a script that gives a text.
func (b *Browser) Text(script string) string {
	b.t.Helper()
	text, err := chromedp.Run(b.ctx, chromedp.Evaluate[string](script))
	b.must("evaluating "+script, err)
	return text
}

// Is evaluates a condition.
func (b *Browser) Is(script string) bool {
	b.t.Helper()
	is, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](script))
	b.must("evaluating "+script, err)
	return is
}

// Until waits for a condition, also while one page follows another.
func (b *Browser) Until(script string) {
	b.t.Helper()
	var is bool
	var err error
	end := time.Now().Add(Patience)
	for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
		if is, err = chromedp.Run(b.ctx, chromedp.Evaluate[bool](script)); err == nil && is {
			tick.Stop()
			return
		}
		if time.Now().After(end) {
			b.t.Fatalf("still not so after %s: %s (error %v)", Patience, script, err)
		}
	}
}

// Press types keys, which may be those of the package chromedp/kb.
func (b *Browser) Press(keys string) {
	b.t.Helper()
	b.must("typing", chromedp.Do(b.ctx, chromedp.KeyEvent(keys)))
}

// Downloaded waits for a file to be downloaded whole and returns it.
func (b *Browser) Downloaded(name string) []byte {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	end := time.Now().Add(Patience)
	for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
		// Until it is whole it has another name.
		content, err := os.ReadFile(path)
		if err == nil {
			tick.Stop()
			return content
		}
		if !errors.Is(err, fs.ErrNotExist) || time.Now().After(end) {
			b.t.Fatalf("downloading %s: %v", name, err)
		}
	}
}

// Picture takes a picture of the whole page, as a PNG.
func (b *Browser) Picture() []byte {
	b.t.Helper()
	picture, err := chromedp.Run(b.ctx, chromedp.FullScreenshot(100))
	b.must("taking a picture", err)
	return picture
}
