;nyquist plug-in
;version 4
;type tool
;name "Tweeze Again"
;action "Asking Tweeze..."
;author "Tweeze"
;release 1
;copyright "MIT license"
;debugbutton false

;@COMMON@

;; The engine remembers what was asked for last.
(cond
  ((tweeze-trouble t))
  (t (tweeze-request (list (list "action" "again")))))
