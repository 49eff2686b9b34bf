package web

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"html/template"
	"net/http"
	"strings"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign/serve"
)

// guard lets those through who know the token: by the header that programs send, by
// ?token= once, which leaves a cookie behind, or by that cookie. Without a token it lets
// those through who ask this machine by a name of loopback, see serve.Guard.
func guard(token string, ask *template.Template, h http.Handler) http.Handler {
	if token == "" {
		return serve.Guard("", h)
	}
	pass := newPass(token)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given := r.URL.Query().Get("token")
		switch {
		case serve.Authorized(r, token), public(r.URL.Path):
			h.ServeHTTP(w, r)
		case given != "" && r.Method == http.MethodGet && serve.Equal(given, token):
			pass.give(w, r)
		case pass.has(r):
			h.ServeHTTP(w, r)
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="bpffuzz"`)
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.WriteHeader(http.StatusUnauthorized)
			_ = ask.Execute(w, layout{Title: "Token", Plain: true, Body: given != ""})
		}
	})
}

// public reports whether a path leads to what everybody has who has bpffuzz: the page that
// asks for the token is made of that.
func public(path string) bool { return strings.HasPrefix(path, "/assets/") || path == "/favicon.ico" }

// pass is the cookie of those who know a token. It does not tell the token, and it is as
// good as that one is: a server that is started again with the same one takes it.
type pass struct{ name, value string }

func newPass(token string) pass {
	return pass{name: "bpffuzz-" + derived(token, "name")[:8], value: derived(token, "cookie")}
}

func derived(token, what string) string {
	mac := hmac.New(sha256.New, []byte(token))
	mac.Write([]byte("bpffuzz dashboard " + what))
	return hex.EncodeToString(mac.Sum(nil))
}

func (p pass) has(r *http.Request) bool {
	c, err := r.Cookie(p.name)
	return err == nil && serve.Equal(c.Value, p.value)
}

// give leaves the cookie and leads to the same page without the token in its address.
func (p pass) give(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{
		Name: p.name, Value: p.value, Path: "/", MaxAge: 30 * 24 * 60 * 60,
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: r.TLS != nil,
	})
	to := *r.URL
	query := to.Query()
	query.Del("token")
	// Only the path is taken over: "//elsewhere" would lead there.
	to.RawQuery, to.Scheme, to.Host, to.User = query.Encode(), "", "", nil
	http.Redirect(w, r, localPath(to.RequestURI()), http.StatusSeeOther)
}

// localPath makes sure that a path has one slash at its beginning, which browsers take for
// this server.
func localPath(path string) string { return "/" + strings.TrimLeft(path, `/\`) }
