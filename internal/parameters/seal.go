package parameters

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"strconv"

	"ssmrun"
	"ssmrun/internal/store"
)

// sealVersion is the first byte of a sealed value; a nonce of 12 bytes and the
// ciphertext with its tag follow.
const sealVersion = 1

func newAEAD(key []byte) (cipher.AEAD, error) {
	if len(key) != 32 {
		return nil, fmt.Errorf("the key for AES-256-GCM has %d bytes", len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// place is what a sealed value is bound to: whoever may write to the database
// cannot put one parameter's value in the place of another's, or of another
// version. No part may hold a NUL.
func place(p *store.Parameter) []byte {
	return []byte("parameter\x00" + p.Scope.Account + "\x00" + p.Scope.Region + "\x00" + p.Name + "\x00" + strconv.FormatInt(p.Version, 10))
}

// seal encrypts a value for the place that p has.
func (s *Service) seal(p *store.Parameter, value string) ([]byte, error) {
	out := make([]byte, 1+s.aead.NonceSize(), 1+s.aead.NonceSize()+len(value)+s.aead.Overhead())
	out[0] = sealVersion
	nonce := out[1:]
	if _, err := rand.Read(nonce); err != nil {
		return nil, fmt.Errorf("seal a parameter: %w", err)
	}
	return s.aead.Seal(out, nonce, []byte(value), place(p)), nil
}

// open decrypts the value of p.
func (s *Service) open(p *store.Parameter) (string, error) {
	n := 1 + s.aead.NonceSize()
	if len(p.Value) >= n && p.Value[0] == sealVersion {
		text, err := s.aead.Open(nil, p.Value[1:n], p.Value[n:], place(p))
		if err == nil {
			return string(text), nil
		}
	}
	return "", ssmrun.Errorf(CodeInvalidKeyID, "The value of parameter %s cannot be decrypted: it was sealed with another key than the service has now (identity.json in its data folder), or it was changed in the database. Restore identity.json from a backup, or put the parameter again.", p.Name)
}

// encoded is a sealed value as callers see it who do not ask for the clear one.
func encoded(sealed []byte) string { return base64.StdEncoding.EncodeToString(sealed) }
