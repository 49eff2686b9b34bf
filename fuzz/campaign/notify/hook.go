package notify

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
)

// Hook is where notifications go.
type Hook struct {
	// URL is posted to. It is a secret: whoever knows it can post as well. It is https,
	// but for loopback, unless HTTP is set.
	URL    string
	Format Format
	// HTTP allows http to other machines, which everybody on the way can read.
	HTTP bool

	name string // tells it from others, without what is secret
}

// Source is where the URL of a hook is: "env:NAME" in an environment variable, "file:PATH"
// in a file, anything else is the URL itself.
type Source string

// URL reads the URL. The error does not tell any of it.
func (s Source) URL() (string, error) {
	if name, ok := strings.CutPrefix(string(s), "env:"); ok {
		if text := strings.TrimSpace(os.Getenv(name)); text != "" {
			return text, nil
		}
		return "", fmt.Errorf("reading the URL of a webhook: environment variable %s is not set", name)
	}
	if path, ok := strings.CutPrefix(string(s), "file:"); ok {
		b, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("reading the URL of a webhook: %w", err)
		}
		text := strings.TrimSpace(string(b))
		if text == "" || strings.ContainsAny(text, "\r\n") {
			return "", fmt.Errorf("reading the URL of a webhook: %s has to hold one line", path)
		}
		return text, nil
	}
	return string(s), nil
}

// Check refuses hooks that cannot be posted to. The error does not tell any of their URLs.
func Check(hooks []Hook) error {
	for i, h := range hooks {
		if err := h.check(i); err != nil {
			return err
		}
	}
	return nil
}

// check completes the i-th hook. Errors name it by number and host.
func (h *Hook) check(i int) error {
	h.name = fmt.Sprintf("webhook %d", i+1)
	switch h.Format {
	case "":
		h.Format = Generic
	case Generic, Slack:
	default:
		return fmt.Errorf("%s: format %q: choose %s or %s", h.name, h.Format, Generic, Slack)
	}
	u, err := url.Parse(h.URL)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		// What the parser says has the URL in it.
		return fmt.Errorf("%s: its URL is none of https or http", h.name)
	}
	h.name += " (" + u.Hostname() + ")"
	if u.Scheme == "http" && !loopback(u.Hostname()) && !h.HTTP {
		return fmt.Errorf("%s: its URL is http, which others can read on the way: use https, or allow it", h.name)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || (ip != nil && ip.IsLoopback())
}

// withoutURL returns what went wrong, without the URL that the client puts in front.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
