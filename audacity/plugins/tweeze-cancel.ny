;nyquist plug-in
;version 4
;type tool
;name "Tweeze Cancel"
;action "Asking Tweeze..."
;author "Tweeze"
;release 1
;copyright "MIT license"
;debugbutton false

;@COMMON@

;; Cancels everything that was asked for from Audacity and is not done.
(cond
  ((tweeze-trouble nil))
  (t (tweeze-request (list (list "action" "cancel")))))
